"""The protocols of chat interfaces in browsers, over the same turns as every other route."""
