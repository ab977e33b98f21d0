"""Rules on orders and the book, one file each: every `RiskRule` in them is one (`trading/discovery.py`).

Does not belong here: what a rule can be made of (`trading/risk/forms.py`), or computing.
"""
