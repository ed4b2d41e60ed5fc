"""Vercel's UI-message stream: what the AI SDK's `useChat` sends and reads."""
