"""The async views of agents and model connections."""
