"""Forecasting rules: a file each, found by type (`trading/strategies/rule.py`)."""
