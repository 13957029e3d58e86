"""The service that Label Studio asks for masks."""
