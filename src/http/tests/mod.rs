//! The whole room through its router, with a model of the relay behind it.

mod asking;
mod faulty;
mod guarding;
mod model;
mod publishing;
mod random;
mod refusing;
mod wire;
