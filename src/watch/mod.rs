//! The event hub: reads history, never writes.
