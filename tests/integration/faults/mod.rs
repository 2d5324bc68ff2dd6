//! The bucket, the database, an issuer or a broker fails: nothing wrong is recorded, and work goes on afterwards.

mod bucket_gone;
mod bucket_unclear;
mod campaign;
mod clock_skew;
mod confirm_crashes;
mod credentials_expiry;
mod database_locked;
mod issuer_gone;
mod kills;
mod outages;
mod unclear_answers;
