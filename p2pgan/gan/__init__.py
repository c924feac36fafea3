"""The GAN: networks, losses, images, the trainer, and drawing images from weights."""
