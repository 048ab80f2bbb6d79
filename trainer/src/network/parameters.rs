//! All weights of the network as one flat tensor.
//!
//! Optimizer, clipping and checkpoint then are a handful of operations on flat tensors instead of hundreds on small
//! ones. A forward pass sees the weights as views: `split_with_sizes` of the flat tensor (its backward is one
//! concatenation), each reshaped. Weights with decay come first, so that decay acts on one slice.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// Handle of a parameter, given out by [`ParameterLayout::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterId(usize);

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Uniform in ±bound.
    Uniform(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
}

/// Name, shape and place of one parameter in the flat tensor.
#[derive(Debug, Clone)]
pub struct ParameterSpec {
    /// Unique dotted name, as in checkpoints.
    pub name: String,
    /// Shape of the view.
    pub shape: Vec<i64>,
    /// First element in the flat tensor.
    pub offset: usize,
    init: Init,
    decay: bool,
}

impl ParameterSpec {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The parameters of a network: what each is called, its shape, and where it lies in the flat tensor.
#[derive(Debug, Clone, Default)]
pub struct ParameterLayout {
    specs: Vec<ParameterSpec>,
    /// Parameter indices in flat order.
    order: Vec<usize>,
    decayed: usize,
    total: usize,
    prefix: Vec<String>,
}

impl ParameterLayout {
    /// Registers a parameter under the current prefix. `decay`: whether weight decay acts on it.
    ///
    /// # Panics
    /// If the name is taken: two layers would share weights by accident.
    pub fn add(&mut self, name: &str, shape: &[i64], init: Init, decay: bool) -> ParameterId {
        let name = self.prefix.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        assert!(self.specs.iter().all(|spec| spec.name != name), "parameter name `{name}` is used twice");
        self.specs.push(ParameterSpec { name, shape: shape.to_vec(), offset: 0, init, decay });
        ParameterId(self.specs.len() - 1)
    }

    /// Runs `build` with `name` prepended to the names of the parameters that it adds.
    pub fn scope<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> T) -> T {
        self.prefix.push(name.into());
        let built = build(self);
        self.prefix.pop();
        built
    }

    /// Assigns the places: parameters with decay first, each group in order of registration.
    pub fn seal(&mut self) {
        self.order = (0..self.specs.len()).collect();
        self.order.sort_by_key(|&index| !self.specs[index].decay);
        self.total = 0;
        for &index in &self.order {
            self.specs[index].offset = self.total;
            self.total += self.specs[index].len();
            if self.specs[index].decay {
                self.decayed = self.total;
            }
        }
    }

    /// Every parameter, in order of registration.
    pub fn specs(&self) -> &[ParameterSpec] {
        &self.specs
    }

    /// Elements of the flat tensor.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Leading elements of the flat tensor on which weight decay acts.
    pub fn decayed(&self) -> usize {
        self.decayed
    }

    /// Elements of the parameters whose names start with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        self.specs.iter().filter(|spec| spec.name.starts_with(prefix)).map(ParameterSpec::len).sum()
    }

    /// The flat tensor at its start: `f32 [total]`, drawn from `seed`, the same on every machine.
    pub fn initialise(&self, seed: u64, device: Device) -> Tensor {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut flat = vec![0f32; self.total];
        for spec in &self.specs {
            for value in &mut flat[spec.offset..spec.offset + spec.len()] {
                *value = match spec.init {
                    Init::Zeros => 0.0,
                    Init::Ones => 1.0,
                    Init::Uniform(bound) => rng.random_range(-bound..=bound),
                    Init::Normal(deviation) => deviation * standard_normal(&mut rng),
                };
            }
        }
        Tensor::from_slice(&flat).to_device(device)
    }

    /// Views of the flat tensor, one per parameter; differentiable.
    pub fn views(&self, flat: &Tensor) -> Weights {
        let sizes: Vec<i64> = self.order.iter().map(|&index| self.specs[index].len() as i64).collect();
        let mut views: Vec<Option<Tensor>> = self.specs.iter().map(|_| None).collect();
        for (&index, slice) in self.order.iter().zip(flat.split_with_sizes(&sizes, 0)) {
            views[index] = Some(slice.view(self.specs[index].shape.as_slice()));
        }
        Weights { views: views.into_iter().map(|view| view.expect("every parameter has a place")).collect() }
    }
}

/// The weights as one forward pass sees them.
#[derive(Debug)]
pub struct Weights {
    views: Vec<Tensor>,
}

impl Weights {
    /// The view of a parameter, in its registered shape.
    pub fn get(&self, id: ParameterId) -> &Tensor {
        &self.views[id.0]
    }

    /// The values of a parameter, row-major.
    pub fn values(&self, id: ParameterId) -> Vec<f32> {
        tensor_values(self.get(id))
    }
}

/// The values of a float tensor, row-major, from whatever device.
pub fn tensor_values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view(-1);
    let mut values = vec![0f32; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}

/// A draw from N(0, 1) by the Box-Muller transform.
fn standard_normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decayed_parameters_lie_first_and_views_find_them() {
        let mut layout = ParameterLayout::default();
        let bias = layout.add("bias", &[2], Init::Ones, false);
        let weight = layout.scope("layer", |l| l.add("weight", &[2, 3], Init::Uniform(0.5), true));
        layout.seal();
        assert_eq!((layout.total(), layout.decayed()), (8, 6));
        assert_eq!(layout.specs()[1].name, "layer.weight");
        let flat = layout.initialise(1, Device::Cpu);
        let views = layout.views(&flat);
        assert_eq!(views.get(weight).size(), [2, 3]);
        assert_eq!(views.values(bias), [1.0, 1.0]);
        assert_eq!(views.values(weight), tensor_values(&flat)[..6]);
    }

    #[test]
    fn the_start_depends_on_the_seed_alone() {
        let mut layout = ParameterLayout::default();
        layout.add("w", &[50], Init::Normal(1.0), true);
        layout.seal();
        let draw = |seed| tensor_values(&layout.initialise(seed, Device::Cpu));
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    #[should_panic(expected = "used twice")]
    fn a_name_cannot_be_taken_twice() {
        let mut layout = ParameterLayout::default();
        layout.add("w", &[1], Init::Zeros, false);
        layout.add("w", &[1], Init::Zeros, false);
    }
}
