"""What other clients speak: the APIs of OpenAI, and the protocols of chat interfaces."""
