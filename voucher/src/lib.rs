//! Vouchers: what a message says about the work it asks for.
//!
//! A **voucher** is an object that says something under each of up to eight **keys**: for whom work is done, how urgent it
//! is, any bytes. It never changes, and two vouchers that say the same are the same object. Programs build one from
//! **recipes** ("copy this from that voucher, then store these bytes under key 7"), send it with a message, and the
//! receiver's threads *adopt* it: so what the message asks for is done in the name of whoever sent it.
//!
//! What a key means is the affair of its **attribute manager**. It calls each value by a 64-bit number, the *handle*,
//! and the registry keeps one *element* for each handle in use.
//!
//! ```text
//!   recipes ──► Creation ──► Voucher ──index──► element: handle, refs, made ──handle──► manager
//!                 │ ▲          one for each        one for each handle             knows what the
//!      question   ▼ │ answer   vector of indexes   of a key                        handle means
//!               Driver
//! ```
//!
//! ```
//! use voucher::{Caller, Output, Recipe, Recipes, Vouchers, create, extract_attr_content, release};
//! use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA as USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE};
//!
//! let mut vouchers = Vouchers::new(4711, Default::default())?;
//! let caller = Caller { task: 1, bank: None };
//!
//! let recipes = [Recipe::new(USER_DATA, STORE, b"hello")];
//! let voucher = create(&mut vouchers, &caller, &mut Recipes::new(&recipes)).done()?.expect("it says something");
//! let again = create(&mut vouchers, &caller, &mut Recipes::new(&recipes)).done()?;
//! assert_eq!(again, Some(voucher));
//!
//! let mut room = [0; 16];
//! let mut content = Output::new(&mut room);
//! extract_attr_content(&mut vouchers, &caller, Some(voucher), USER_DATA, &mut content)?;
//! assert_eq!(content.size(), 5);
//!
//! for _ in 0..2 {
//!     assert!(release(&mut vouchers, voucher).is_none());
//! }
//! assert!(vouchers.user_data.is_empty());
//! # Ok::<(), voucher::Error>(())
//! ```
//!
//! | file | what |
//! |---|---|
//! | `registry.rs` | [`Registry`]: all vouchers and values |
//! | `voucher.rs` | [`Voucher`], and how equal ones are found |
//! | `vector.rs` | what a voucher says: an index for each key |
//! | `value.rs` | value elements, and the protocol by which they are given back |
//! | `control.rs` | [`Control`]: the registration of a key |
//! | `recipe.rs` | [`Recipe`] and the wire format |
//! | `creation.rs` | [`Creation`]: building a voucher, with questions to managers in between |
//! | `release.rs` | [`Release`]: giving values up, with questions to managers in between |
//! | `driver.rs` | [`Driver`]: who asks the questions; [`create`], [`release`] |
//! | `extract.rs`, `message.rs`, `activity.rs` | reading vouchers, vouchers in messages, activity ids |
//! | `manager.rs` | [`AttributeManager`]: the contract |
//! | [`managers`] | those that come with the crate, one file each |
//! | `system.rs` | [`Vouchers`]: the registry together with its managers |
//!
//! **Nothing waits.** The registry never calls a manager. A [`Creation`] and a [`Release`] are values that say what has to
//! be asked, and go on when the answer is there; any other call may run in between.
//!
//! **Nothing grows with the number of vouchers.** Vouchers and values are found through hash indexes that grow one bucket
//! at a time. A failed allocation is an [`Error::ResourceShortage`] and leaves everything as it was.

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
