//! Whole networks under test. Stand-ins and broken twins live here and only here.

pub mod attacks;
pub mod curves;
pub mod fuzz;
pub mod hostile;
pub mod kit;
pub mod meter;
pub mod observe;
pub mod sim;
pub mod stand_in;

pub use kit::net;
