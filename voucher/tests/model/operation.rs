//! The operations, and their frequencies.
//!
//! Small numbers select an object: the n-th of all vouchers, of the tasks, or of the waiting calls, modulo their
//! number. So an operation is meaningful at every place in a sequence.

use abi::voucher::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// The keys of managers that answer with numbers: see [`Numbers`](crate::numbers::Numbers).
pub const NUMBER_KEYS: [u32; 3] = [2, 5, 6];

/// The caller of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Task(u8),
    /// A task that is unknown to the bank.
    Stranger,
    Kernel,
}

/// A recipe, valid or not.
#[derive(Clone, Debug)]
pub struct RecipeOf {
    pub key: u32,
    pub command: u32,
    pub previous: Previous,
    pub content: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub enum Previous {
    None,
    /// Any voucher, live or dead.
    Voucher(u8),
    /// A name that denotes nothing.
    Unknown,
}

/// The identity of a new task.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    pub persona: u32,
    pub platform_binary: bool,
    pub no_propagate: bool,
    pub adopt_any: bool,
    pub modify_persona: bool,
    pub app: bool,
    pub group: u64,
}

#[derive(Clone, Debug)]
pub enum Operation {
    /// Recipes as a program passes them, without the last `cut` bytes.
    Create {
        who: Who,
        recipes: Vec<RecipeOf>,
        cut: u8,
    },
    /// With the control of a key: a copy of a voucher, then `SET_VALUE_HANDLE` with a number.
    SetHandle {
        key: u32,
        previous: u8,
        recipe_key: u32,
        number: u64,
        length: usize,
    },
    Retain(u8),
    Release(u8),
    /// A manager prepares its answer to a waiting call.
    PrepareAnswer(u8),
    /// A manager refuses a waiting call.
    PrepareRefusal(u8),
    /// A prepared answer is delivered.
    DeliverAnswer(u8),
    Cancel(u8),
    Content {
        who: Who,
        voucher: u8,
        key: u32,
        room: usize,
    },
    Recipe {
        who: Who,
        voucher: u8,
        key: u32,
        room: usize,
    },
    AllRecipes {
        who: Who,
        voucher: u8,
        room: usize,
    },
    Command {
        who: Who,
        voucher: u8,
        key: u32,
        command: u32,
        room: usize,
    },
    ControlValues {
        key: u32,
        voucher: u8,
        room: usize,
    },
    /// A reference becomes a send right of the voucher's port.
    SendRight(u8),
    NoSenders(u8),
    Send {
        who: Who,
        voucher: u8,
    },
    Receive {
        who: Who,
        voucher: u8,
    },
    Default(Who),
    BeginTask(Identity),
    EndTask(u8),
    Persona {
        id: u32,
        part: u8,
    },
    Adopt {
        task: u8,
        voucher: u8,
    },
    /// Charges an adopted bill.
    Charge {
        bill: u8,
        cpu: u64,
        energy: u64,
    },
    Register(u32),
    RetainControl(u32),
    ReleaseControl(u32),
}

const PERSONAS: [u32; 5] = [101, 102, 501, 502, PERSONA_ID_NONE];

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![8 => (0..4u8).prop_map(Who::Task), 1 => Just(Who::Stranger), 1 => Just(Who::Kernel)]
}

fn key() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => prop::sample::select(vec![2u32, 3, 4, 5, 6, 7, 8]),
        2 => prop::sample::select(vec![0, 1, 9, 99, MACH_VOUCHER_ATTR_KEY_ALL]),
    ]
}

fn voucher() -> impl Strategy<Value = u8> {
    any::<u8>()
}

fn room() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(5120usize),
        prop::sample::select(vec![0usize, 1, 3, 4, 15, 16, 17, 20, 96, 499, 500, 515, 516, 700])
    ]
}

fn previous() -> impl Strategy<Value = Previous> {
    prop_oneof![5 => Just(Previous::None), 14 => voucher().prop_map(Previous::Voucher), 1 => Just(Previous::Unknown)]
}

/// Returns one of few contents, so that many are equal.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec![&b"a"[..], b"b", b"ab"]).prop_map(<[u8]>::to_vec),
        1 => Just(vec![]),
        1 => prop::sample::select(vec![64usize, 65, 100]).prop_map(|len| vec![7; len]),
    ]
}

fn number() -> impl Strategy<Value = u64> {
    0..9u64
}

fn modify_persona() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(PERSONAS.to_vec()), 0..4u64, prop_oneof![9 => Just(16usize), 1 => Just(15usize)]).prop_map(
        |(persona, unique_pid, len)| {
            let mut content = [persona.to_le_bytes(), [0; 4]].concat();
            content.extend_from_slice(&unique_pid.to_le_bytes());
            content.truncate(len);
            content
        },
    )
}

/// Returns a key with a command and a content that are valid in most cases.
fn request() -> impl Strategy<Value = (u32, u32, Vec<u8>)> {
    let number_key = prop::sample::select(NUMBER_KEYS.to_vec());
    let priority = prop::sample::select(vec![0x8000_10FFu32, 0x10EF, 0x10F0, 0x30FF, 0, 0x0200_10FF, 0x20]);
    let commands =
        prop::sample::select(vec![0u32, 3, 4, 5, 10, 200, 211, 601, 610, 611, 701, 710, crate::numbers::STORE, 12345]);
    let data_key = || prop::sample::select(vec![7u32, 8]);
    let bank_command = prop::sample::select(vec![4u32, 5, 10, 610]);
    prop_oneof![
        4 => (key(), Just(MACH_VOUCHER_ATTR_COPY), Just(vec![])),
        3 => (Just(MACH_VOUCHER_ATTR_KEY_ALL), Just(MACH_VOUCHER_ATTR_COPY), Just(vec![])),
        3 => (key(), Just(MACH_VOUCHER_ATTR_REMOVE), Just(vec![])),
        6 => (data_key(), Just(MACH_VOUCHER_ATTR_USER_DATA_STORE), bytes()),
        1 => (data_key(), Just(MACH_VOUCHER_ATTR_REDEEM), bytes()),
        6 => (Just(3u32), bank_command, Just(vec![])),
        2 => (Just(3u32), Just(MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA), modify_persona()),
        2 => (Just(4u32), Just(MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE), priority.prop_map(|word| word.to_le_bytes().to_vec())),
        7 => (number_key.clone(), Just(crate::numbers::STORE), number().prop_map(|n| n.to_le_bytes().to_vec())),
        2 => (number_key, Just(MACH_VOUCHER_ATTR_REDEEM), Just(vec![])),
        1 => (Just(MACH_VOUCHER_ATTR_KEY_ALL), Just(MACH_VOUCHER_ATTR_REDEEM), Just(vec![])),
        2 => (key(), commands, bytes()),
        1 => (key(), prop::sample::select(vec![1u32, 2]), bytes()),
    ]
}

fn recipe() -> impl Strategy<Value = RecipeOf> {
    (request(), previous()).prop_map(|((key, command, content), previous)| RecipeOf { key, command, previous, content })
}

fn create() -> impl Strategy<Value = Operation> {
    let cut = prop_oneof![15 => Just(0u8), 1 => 0..30u8];
    (who(), vec(recipe(), 0..6), cut).prop_map(|(who, recipes, cut)| Operation::Create { who, recipes, cut })
}

fn set_handle() -> impl Strategy<Value = Operation> {
    let keys = || prop::sample::select(NUMBER_KEYS.to_vec());
    let recipe_key = prop_oneof![8 => Just(None), 1 => key().prop_map(Some)];
    let length = prop_oneof![8 => Just(8usize), 1 => Just(7usize)];
    (keys(), voucher(), recipe_key, number(), length).prop_map(|(key, previous, recipe_key, number, length)| {
        Operation::SetHandle { key, previous, recipe_key: recipe_key.unwrap_or(key), number, length }
    })
}

/// Returns the identity of a task.
pub fn identity() -> impl Strategy<Value = Identity> {
    let rarely = || prop::bool::weighted(0.3);
    let persona = prop::sample::select(PERSONAS.to_vec());
    (persona, rarely(), rarely(), rarely(), any::<bool>(), rarely(), 0..3u64).prop_map(
        |(persona, platform_binary, no_propagate, adopt_any, modify_persona, app, group)| Identity {
            persona,
            platform_binary,
            no_propagate,
            adopt_any,
            modify_persona,
            app,
            group,
        },
    )
}

fn reading() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let command = prop_oneof![4 => 1..5u32, 1 => Just(7u32), 2 => Just(crate::numbers::GET_NUMBER)];
    prop_oneof![
        (who(), voucher(), key(), room()).prop_map(|(who, voucher, key, room)| Content { who, voucher, key, room }),
        (who(), voucher(), key(), room()).prop_map(|(who, voucher, key, room)| Recipe { who, voucher, key, room }),
        (who(), voucher(), room()).prop_map(|(who, voucher, room)| AllRecipes { who, voucher, room }),
        (who(), voucher(), prop_oneof![Just(3u32), key()], command, room())
            .prop_map(|(who, voucher, key, command, room)| Command { who, voucher, key, command, room }),
        (key(), voucher(), 0..2usize).prop_map(|(key, voucher, room)| ControlValues { key, voucher, room }),
    ]
}

fn task() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let personas = prop::sample::select(PERSONAS[..4].to_vec());
    prop_oneof![
        2 => identity().prop_map(BeginTask),
        1 => any::<u8>().prop_map(EndTask),
        1 => (personas, 0..3u8).prop_map(|(id, part)| Persona { id, part }),
        4 => (0..4u8, voucher()).prop_map(|(task, voucher)| Adopt { task, voucher }),
        4 => (any::<u8>(), 0..1000u64, 0..1000u64).prop_map(|(bill, cpu, energy)| Charge { bill, cpu, energy }),
    ]
}

fn registration() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let keys = || prop_oneof![4 => prop::sample::select(NUMBER_KEYS.to_vec()), 1 => key()];
    prop_oneof![
        3 => keys().prop_map(Register),
        1 => keys().prop_map(RetainControl),
        3 => keys().prop_map(ReleaseControl),
    ]
}

/// Returns any operation.
pub fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        20 => create(),
        3 => set_handle(),
        2 => voucher().prop_map(Retain),
        12 => voucher().prop_map(Release),
        6 => any::<u8>().prop_map(PrepareAnswer),
        1 => any::<u8>().prop_map(PrepareRefusal),
        6 => any::<u8>().prop_map(DeliverAnswer),
        3 => any::<u8>().prop_map(Cancel),
        8 => reading(),
        2 => voucher().prop_map(SendRight),
        2 => voucher().prop_map(NoSenders),
        5 => (who(), voucher()).prop_map(|(who, voucher)| Send { who, voucher }),
        5 => (who(), voucher()).prop_map(|(who, voucher)| Receive { who, voucher }),
        1 => who().prop_map(Default),
        7 => task(),
        3 => registration(),
    ]
}
