//! What one client may ask of a connection that carries many requests at once.

/// The limits of HTTP/2. HTTP/1.1 needs none of them, since its connections carry one request at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Requests that are in progress on one connection; clients wait with more.
    pub streams_max: u32,
    /// Requests that are in progress on all connections; more are refused.
    pub requests_max: usize,
    /// Bytes of the head of a request, as HTTP/2 counts them (32 more for each field); a larger one is
    /// refused with 431.
    pub header_bytes_max: u32,
    /// Requests that a client may take back within a second, beyond as many as it lets be answered, before
    /// its connection is ended: taking requests back costs a client nothing, and the gateway what they
    /// began (CVE-2023-44487).
    pub resets_max: u64,
    /// Seconds without news from a client after which it is asked for a sign of life. It has the time of a
    /// head to give it.
    pub keep_alive_seconds: u32,
    /// Bytes of one body that a client may send ahead of its being read.
    pub stream_window_bytes: u32,
    /// Bytes of all bodies of one connection that a client may send ahead.
    pub connection_window_bytes: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams_max: 200,
            requests_max: 10_000,
            header_bytes_max: 128 << 10,
            resets_max: 100,
            keep_alive_seconds: 20,
            stream_window_bytes: 512 << 10,
            connection_window_bytes: 1 << 20,
        }
    }
}
