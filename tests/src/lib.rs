//! Whole networks under test. Stand-ins and broken twins live here and only here.

pub mod fuzz;
pub mod net;
pub mod observe;
pub mod stand_in;
