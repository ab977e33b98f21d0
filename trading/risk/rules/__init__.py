"""Rules on orders and the book, one file each: every `RiskRule` in them is one (`trading/discovery.py`)."""
