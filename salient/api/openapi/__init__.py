"""The OpenAPI 3.1 document, built from the URL resolver and what each view's decorator says."""
