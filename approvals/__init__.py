"""The heart of the house: a request, the decisions on it, and the grant an approval becomes.

Who may ask lives in `agents`, who people are in `accounts`, what happened in `audit`.
"""
