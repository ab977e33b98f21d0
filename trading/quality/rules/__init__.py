"""Data rules: one file a rule, found by type (`trading.quality.examination.all_rules`). Nothing is registered here."""
