"""The risk service: the engine's answers over HTTP, for strategies that trade between closes.

Belongs here: requests and answers, who may ask, processes and what they do beside answering. Does not belong here:
judging (`trading/risk/`), or how decisions and reservations are kept (`resources/`).
"""
