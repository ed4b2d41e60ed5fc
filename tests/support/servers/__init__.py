"""Servers that tests start: the product's, model providers, proxies."""
