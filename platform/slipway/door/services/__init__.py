"""What the OpenAI door does, in OpenAI's words, with what the platform's domains offer."""
