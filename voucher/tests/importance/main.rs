//! Importance donation: recorded traces, the examples of the specification, and random operations against a model.
//!
//! The world of tasks, ports and messages is that of `examples/replay_importance`. All invariants are checked after each
//! call.

mod basics;
mod chains;
mod conformance;
mod endings;
mod exec;
mod extraction;
mod model;
mod pauses;
mod random;
#[path = "../../examples/replay_importance/replayer/mod.rs"]
mod replayer;
mod rights;
mod shortage;
mod static_boosts;
mod support;
#[path = "../trace_files/mod.rs"]
mod trace_files;
#[path = "../../examples/replay_importance/world/mod.rs"]
mod world;
