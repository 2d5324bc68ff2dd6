//! (room: outbound)
