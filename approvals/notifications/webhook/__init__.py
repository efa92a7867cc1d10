"""Signed messages to addresses that administrators enter, by Standard Webhooks (https://www.standardwebhooks.com)."""
