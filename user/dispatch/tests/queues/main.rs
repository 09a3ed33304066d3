//! Queues, overrides and blocks over the mock kernel (dispatch 10.B, 10.C, 10.D).

mod blocks;
mod capture;
mod ends;
mod matrix;
mod overrides;
mod rules;
mod stress;
mod world;
