"""Telling people and programs outside what happened: by mail, and by webhook."""
