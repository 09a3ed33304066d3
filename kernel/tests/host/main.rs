//! Host tests of the kernel core: the examples of the specification, a simulation with random calls, every interleaving
//! of small configurations, and a failure at every point where a call can fail.
//!
//! All tests enter the kernel through [`kernel::kernel::Kernel::handle`], as the hardware does. [`world::World`] stands
//! for the processor: it writes arguments into trap frames and messages into user memory, and checks all invariants
//! after every step.

mod arguments;
mod budgets;
mod burdens;
mod calls;
mod failure_scenarios;
mod machine;
mod message;
mod processor;
mod program;
mod random_calls;
mod world;

mod accounting;
mod bsdthread;
mod complex;
mod counters;
mod death;
mod death_orders;
mod deferred;
mod events;
mod failures;
mod fast_attachments;
mod fast_path;
mod fuzz;
mod generations;
mod give_back;
mod guards;
mod header;
mod importance;
mod input;
mod inspect;
mod interleavings;
mod kernel_objects;
mod long_pushes;
mod memory;
mod memory_pieces;
mod names;
mod nesting;
mod notifications;
mod output;
mod payers;
mod policy;
mod ports;
mod privileges;
mod programs;
mod promises;
mod pushes;
mod queue_raise;
mod queues;
mod random_messages;
mod random_services;
mod random_waits;
mod receive;
mod rpc;
mod scheduling;
mod scripts;
mod segments;
mod served_sets;
mod sets;
mod shares;
mod shortcuts;
mod sightings;
mod simulation;
mod spawn_pieces;
mod special_calls;
mod special_reply;
mod targets;
mod task_for_pid;
mod threads;
mod timers;
mod traps;
mod turns;
mod unix;
mod urgent_waiters;
mod vouchers;
