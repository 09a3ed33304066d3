//! Vouchers: what a message says about the work it asks for.
//!
//! A program asks another for work, that one asks a third. Who pays for the processor time? How urgent is it, when nobody
//! but the first knows? A **voucher** goes with the message and says so: an object that says something under each of up to
//! eight **keys**. Whoever receives it can *adopt* it, so that the work is done in the sender's name, or send it on.
//!
//! A voucher never changes, and two that say the same are the same object. Programs build one from **recipes** ("copy all
//! from that voucher; store these bytes under key 7"). What a key means is the affair of its **attribute manager**: it
//! calls each value by a number, the *handle*, and takes it back when no voucher says it any more.
//!
//! ```text
//!     voucher A           values in use            what their managers know
//!  ┌──────────────┐     ┌────────────────┐
//!  │ 3  bank      ├───► │ handle, 1 ref  ├───►  bank: "task 17 pays"
//!  │ 4  priority  ├──┬► │ handle, 2 refs ├───►  priority: "user-initiated"
//!  │ 7  user data ├──┼► │ handle, 1 ref  ├───►  user data: "hello"
//!  └──────────────┘  │  └────────────────┘
//!     voucher B      │
//!  ┌──────────────┐  │
//!  │ 4  priority  ├──┘
//!  └──────────────┘
//! ```
//!
//! ```
//! use abi::voucher::{MACH_VOUCHER_ATTR_COPY as COPY, MACH_VOUCHER_ATTR_KEY_ALL as ALL};
//! use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA as USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE};
//! use voucher::{Caller, Output, Recipe, Recipes, Vouchers, create, extract_attr_content, release};
//!
//! let mut vouchers = Vouchers::new(4711, Default::default())?;
//! let caller = Caller { task: 1, bank: None };
//!
//! let hello = [Recipe::new(USER_DATA, STORE, b"hello")];
//! let voucher = create(&mut vouchers, &caller, &mut Recipes::new(&hello)).done()?.expect("it says something");
//! let copy = [Recipe::from(voucher, ALL, COPY)];
//! let same = create(&mut vouchers, &caller, &mut Recipes::new(&copy)).done()?;
//! assert_eq!(same, Some(voucher), "what says the same is the same");
//!
//! let mut room = [0; 16];
//! let mut content = Output::new(&mut room);
//! extract_attr_content(&mut vouchers, &caller, Some(voucher), USER_DATA, &mut content)?;
//! let size = content.size();
//! assert_eq!(&room[..size], b"hello");
//!
//! for _ in 0..2 {
//!     assert!(release(&mut vouchers, voucher).is_none(), "no manager keeps us waiting");
//! }
//! assert!(vouchers.user_data.is_empty(), "the manager has its value back");
//! # Ok::<(), voucher::Error>(())
//! ```
//!
//! **Nothing waits.** The registry never calls a manager. A [`Creation`] and a [`Release`] are values that say what has to
//! be asked, and go on when the answer is there; any other call may run in between. A [`Driver`] asks.
//!
//! **Nothing grows with the number of vouchers.** Vouchers and values are found through hash indexes that grow one bucket
//! at a time (`cargo bench -p voucher`). A failed allocation is an [`Error::ResourceShortage`] and leaves everything as it
//! was.
//!
//! **A manager of one's own** is one file and one registration: see [`AttributeManager`].
//!
//! | file | what |
//! |---|---|
//! | `registry.rs` | [`Registry`]: all vouchers and values |
//! | `voucher.rs` | [`Voucher`], and how equal ones are found |
//! | `vector.rs` | what a voucher says: an index for each key |
//! | `value.rs` | value elements, and the protocol by which they are given back |
//! | `control.rs` | [`Control`]: the registration of a key |
//! | `key.rs`, `error.rs` | [`Key`], [`Error`] |
//! | `recipe.rs` | [`Recipe`] and the wire format |
//! | `creation.rs` | [`Creation`]: building a voucher, with questions to managers in between |
//! | `release.rs` | [`Release`]: giving values up, with questions to managers in between |
//! | `driver.rs` | [`Driver`]: who asks the questions; [`create`], [`release`] |
//! | `extract.rs`, `message.rs`, `activity.rs` | reading vouchers, vouchers in messages, activity ids |
//! | `manager.rs` | [`AttributeManager`]: the contract |
//! | [`managers`] | those that come with the crate, one file each |
//! | `system.rs` | [`Vouchers`]: the registry together with its managers |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod activity;
mod control;
mod creation;
mod driver;
mod error;
mod extract;
mod key;
mod manager;
pub mod managers;
mod message;
mod recipe;
mod registry;
mod release;
mod system;
mod value;
mod vector;
mod voucher;

pub use activity::ActivityIds;
pub use control::{Control, Handles, Processing, Registration};
pub use creation::{Creation, Step};
pub use driver::{
    Driver, NamedRecipes, Outcome, RecipeSource, Recipes, bury, create, create_through, finish_release, release,
    release_control, run,
};
pub use error::Error;
pub use extract::{
    attr_command, debug_info, extract_all_attr_recipes, extract_attr_content, extract_attr_recipe,
    host_register_attr_manager,
};
pub use key::{KEYS, Key};
pub use manager::{AttributeManager, Caller, GetValue, Output, Value};
pub use message::{
    Processed, ProcessingRecipes, default_voucher, message_priority, receive_postprocessing, send_preprocessing,
};
pub use recipe::{HEADER, RawRecipe, Recipe, RecipeArray};
pub use registry::Registry;
pub use release::{DeadVoucher, Release, ReleaseValue};
pub use system::Vouchers;
pub use value::AttributeValue;
pub use voucher::{PortBinding, Voucher, VoucherId};
