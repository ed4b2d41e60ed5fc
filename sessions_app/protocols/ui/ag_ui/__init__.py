"""AG-UI: what `@ag-ui/client` and CopilotKit send and read."""
