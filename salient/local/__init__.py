"""What only `make run` needs: shared processes and the .env file."""
