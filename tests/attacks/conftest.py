from tests.contract.transport.conftest import party, raw

__all__ = ["party", "raw"]
