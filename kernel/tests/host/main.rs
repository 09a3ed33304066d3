//! Host tests of the kernel core: scenarios named after the specification's examples, a simulation with random calls,
//! exhaustive interleavings of small configurations, and failures at every point where something can fail.
//!
//! Everything goes through [`kernel::kernel::Kernel::handle`], as on the machine: [`world::World`] plays the processor,
//! writes arguments into frames and messages into user memory, and checks all invariants after every step.

mod budgets;
mod calls;
mod failure_scenarios;
mod machine;
mod message;
mod processor;
mod program;
mod random_calls;
mod world;

mod complex;
mod death;
mod failures;
mod header;
mod interleavings;
mod kernel_objects;
mod memory;
mod names;
mod notifications;
mod ports;
mod programs;
mod queues;
mod receive;
mod rpc;
mod scheduling;
mod segments;
mod sets;
mod simulation;
mod targets;
mod traps;
mod unix;
