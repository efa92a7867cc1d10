"""What tests lean on: services, waiting, the browser.

No test lives here, and no part of the house is imitated.
"""
