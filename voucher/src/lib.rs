//! Vouchers: the context of a message's work, and its accounting.
//!
//! A program asks another to do some work, and that one asks a third. Which program pays for the processor time? How
//! urgent is the work, if only the first program knows? A **voucher** that goes with the message answers these
//! questions. A voucher is an object with up to eight **attributes**, each under a **key**. The receiver can *adopt*
//! it, so that the work is done on the sender's behalf, or send it on.
//!
//! A voucher never changes, and vouchers with equal attributes are the same object. Programs build vouchers from
//! **recipes** ("copy all attributes of that voucher; store these bytes under key 7"). The meaning of a key belongs to
//! its **attribute manager**. The manager names each value by a number, the *handle*, and is asked to release the value
//! when no voucher holds it any more.
//!
//! ```text
//!     voucher A           values in use            state of the managers
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
//! use voucher::{CallingTask, OutBuffer, Recipe, Recipes, Vouchers};
//! use voucher::{create_voucher, extract_attr_content, release_voucher};
//!
//! let mut vouchers = Vouchers::new(4711, Default::default())?;
//! let caller = CallingTask { task: 1, ..Default::default() };
//!
//! let hello = [Recipe::new(USER_DATA, STORE, b"hello")];
//! let created = create_voucher(&mut vouchers, &caller, &mut Recipes::new(&hello)).expect_done()?;
//! let voucher = created.expect("an attribute is present");
//! let copy = [Recipe::from(voucher, ALL, COPY)];
//! let same = create_voucher(&mut vouchers, &caller, &mut Recipes::new(&copy)).expect_done()?;
//! assert_eq!(same, Some(voucher), "vouchers with equal attributes are the same object");
//!
//! let mut bytes = [0; 16];
//! let mut content = OutBuffer::new(&mut bytes);
//! extract_attr_content(&mut vouchers, &caller, Some(voucher), USER_DATA, &mut content)?;
//! let size = content.size();
//! assert_eq!(&bytes[..size], b"hello");
//!
//! for _ in 0..2 {
//!     assert!(release_voucher(&mut vouchers, voucher).is_none(), "every manager answers at once");
//! }
//! assert!(vouchers.user_data.is_empty(), "the manager has released its value");
//! # Ok::<(), voucher::Error>(())
//! ```
//!
//! **No call blocks.** The registry never calls a manager. A [`Creation`] and a [`Release`] are values that return a
//! request when a manager must be asked, and continue when they get the answer; any other call may run in between. A
//! [`Driver`] carries the requests to the managers.
//!
//! **No cost grows with the number of vouchers.** Vouchers and values are found through hash indexes that grow one
//! bucket at a time (`cargo bench -p voucher`). A failed allocation is an [`Error::ResourceShortage`] and leaves
//! everything unchanged.
//!
//! **A new manager** is one file and one registration: see [`AttributeManager`].
//!
//! | file | content |
//! |---|---|
//! | `registry.rs` | [`Registry`]: all vouchers and values |
//! | `voucher.rs` | [`Voucher`], and the table that finds equal vouchers |
//! | `vector.rs` | the values of a voucher: an index for each key |
//! | `value.rs` | values in use, and the protocol of their release |
//! | `control.rs` | [`AttributeControl`]: the state of a registered key |
//! | `key.rs`, `error.rs` | [`Key`], [`Error`] |
//! | `recipe.rs` | [`Recipe`] and the wire format |
//! | `creation.rs` | [`Creation`]: builds a voucher, with requests to managers in between |
//! | `release.rs` | [`Release`]: releases values, with requests to managers in between |
//! | `driver.rs` | [`Driver`]: carries requests to managers; [`create_voucher`], [`release_voucher`] |
//! | `extract.rs`, `message.rs`, `activity.rs` | reading vouchers, vouchers in messages, activity ids |
//! | `manager.rs` | [`AttributeManager`]: the contract |
//! | [`managers`] | the managers of this crate |
//! | [`importance`] | importance donation: what the values of key 2 mean |
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
pub mod importance;
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
pub use control::{AttributeControl, HandleKind, Processing, Registration};
pub use creation::{Creation, CreationStep};
pub use driver::{
    CreationOutcome, Driver, NamedRecipes, RecipeSource, Recipes, continue_creation, continue_release, create_voucher,
    create_voucher_with_control, destroy_voucher, release_control, release_voucher,
};
pub use error::Error;
pub use extract::{
    attr_command, debug_info, extract_all_attr_recipes, extract_attr_content, extract_attr_recipe,
    host_register_attr_manager,
};
pub use key::{KEY_COUNT, Key};
pub use manager::{AttributeManager, CallingTask, CommandRequest, ManagerValue, OutBuffer, ValueRequest};
pub use message::{
    ProcessedVoucher, ProcessingRecipes, default_voucher, message_priority, receive_postprocessing, send_preprocessing,
};
pub use recipe::{RECIPE_HEADER_SIZE, RawRecipe, Recipe, RecipeArray};
pub use registry::Registry;
pub use release::{DeadVoucher, Release, ReleaseRequest};
pub use system::Vouchers;
pub use value::AttributeValue;
pub use voucher::{PortBinding, Voucher, VoucherId};
