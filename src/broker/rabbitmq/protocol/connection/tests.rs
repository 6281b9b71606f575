mod content;
mod model;
mod random;
mod wire;
