"""The first boot of an appliance: who reads the code on the machine becomes administrator."""
