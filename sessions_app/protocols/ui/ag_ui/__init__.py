"""AG-UI: what `@ag-ui/client` sends and reads."""
