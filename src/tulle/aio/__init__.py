"""The few async tools that asyncio lacks."""
