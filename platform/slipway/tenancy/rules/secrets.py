"""How the secrets of keys begin. No Django: the gateway asks too."""

KEY_PREFIX = "sk-slip-"
#: Stands for a key for a while, in work done on its behalf by the platform itself.
LENT_PREFIX = f"{KEY_PREFIX}lent-"
