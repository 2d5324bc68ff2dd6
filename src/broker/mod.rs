//! (room: broker)
