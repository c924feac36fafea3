"""p2pgan: one GAN trained together by peers, over ZeroMQ, met in Postgres."""
