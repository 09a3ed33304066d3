//! A fuzzer of the kernel: tasks that make random calls, exchange rights, start others and die.
//!
//! What a call looks like is in a grammar: which traps there are, which requests kernel objects take, and what each
//! argument means. Most arguments are valid, some nearly, few are arbitrary. The driver runs one round after the other.
//! In each it starts some players, passes their rights on to each other, lets them play and ends those that do not end
//! by themselves. Then the kernel must have no object more than before, and all its invariants must hold.
//!
//! | module | contents |
//! |---|---|
//! | `grammar` | traps, requests and the meaning of their arguments |
//! | [`random`] | numbers that a seed determines |
//! | `names` | what a player knows about its rights |
//! | [`player`](mod@player), `messages` | a task that plays: its calls, its messages |
//! | `image` | ELF files that are changed at random |
//! | [`driver`](mod@driver) | rounds and their checks |

pub mod driver;
mod grammar;
mod image;
mod messages;
mod names;
pub mod player;
pub mod random;

/// The id of the message by which a player gives the driver a send right to its inbox.
const HELLO: i32 = 9001;
/// The id of the message by which the driver passes it on.
const INTRODUCTION: i32 = 9002;
/// The id of the message that tells how many steps a player has made so far.
const PROGRESS: i32 = 9003;
