//! The rules of priorities, vouchers and activities over the mock kernel (dispatch 10.A, 10.E, 10.F).

mod activities;
mod decisions;
mod properties;
mod races;
mod support;
mod thread;
mod vouchers;
