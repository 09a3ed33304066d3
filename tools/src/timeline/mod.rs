//! Timelines: what the kernel's events tell, as a file for Perfetto and as a page for a browser.
//!
//! | module | contents |
//! |---|---|
//! | [`record`] | the events as they come from the kernel |
//! | [`model`] | the story that they tell: tasks, threads, messages, vouchers, boosts, charges, work |
//! | `builder`, `causes`, `work` | how it is put together, what boosts follow from, the work of queues |
//! | [`perfetto`] | the story as a trace file |
//! | [`page`] | the story as one HTML page |

mod builder;
mod causes;
pub mod model;
pub mod page;
pub mod perfetto;
pub mod record;
mod work;
