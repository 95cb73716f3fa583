//! The figures as pictures: the load of each mirror, and what a policy costs in latency for what it
//! spreads the load.

use super::Results;
use super::options::Options;
use super::policy::Choice;
use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::prelude::*;
use plotters::style::FontDesc;
use std::time::Duration;

const WIDTH: u32 = 860;
/// Of each picture.
const HEIGHT: u32 = 460;

/// How many clients of a world are enough for a point of a frontier.
pub(super) const FRONTIER_CLIENTS: u64 = 10_000;

const FACTORS: [f64; 7] = [1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];
/// In milliseconds.
const SLACKS: [u64; 7] = [0, 1, 2, 3, 5, 10, 20];

/// Colors on a light page. The background is part of the picture.
const PAGE: RGBColor = RGBColor(0xff, 0xff, 0xff);
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const GRID: RGBColor = RGBColor(0xd0, 0xd7, 0xde);
const DIM: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// Those of the policies; they differ also for people who do not see red and green as two.
const COLORS: [RGBColor; 7] = [
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xb8, 0x86, 0x0b),
    RGBColor(0x8a, 0x63, 0xd2),
    RGBColor(0x77, 0x7f, 0x87),
];

/// What a viewer that prefers dark pages shows in place of these colors.
const STYLE: &str = "<style>\
@media (prefers-color-scheme: dark) {\
[fill=\"#FFFFFF\"] { fill: #0d1117 } \
[fill=\"#1F2328\"] { fill: #e6edf3 } [stroke=\"#1F2328\"] { stroke: #e6edf3 } \
[fill=\"#D0D7DE\"] { fill: #30363d } [stroke=\"#D0D7DE\"] { stroke: #30363d } \
[fill=\"#59636E\"] { fill: #9198a1 } [stroke=\"#59636E\"] { stroke: #9198a1 } \
[fill=\"#0072B2\"] { fill: #2f8fe0 } [stroke=\"#0072B2\"] { stroke: #2f8fe0 } \
}</style>";

/// The policies of a frontier: variations of one option of the rule.
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(String, Choice)>,
}

/// The frontiers that the rule's two options can reach.
pub(super) fn frontiers(options: &Options) -> [Curve; 2] {
    let (least, most) = (FACTORS[0], FACTORS[FACTORS.len() - 1]);
    let factor = |&factor: &f64| (format!("{factor}x"), Choice::uniform(factor, Duration::ZERO));
    let slack = |&slack: &u64| {
        (format!("+{slack} ms"), Choice::uniform(options.factor, Duration::from_millis(slack)))
    };
    [
        Curve {
            name: format!("factor from {least} to {most}, no slack"),
            points: FACTORS.iter().map(factor).collect(),
        },
        Curve {
            name: format!("factor {}, slack from 0 to {} ms", options.factor, SLACKS[SLACKS.len() - 1]),
            points: SLACKS.iter().map(slack).collect(),
        },
    ]
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;

/// Draws the pictures of the first place: the load if that is wanted, and latency against load if
/// there are frontiers. One stands below the other.
pub(super) fn draw(results: &Results, load: bool, frontiers: Option<&[(String, Results); 2]>) -> String {
    let count = usize::from(load) + usize::from(frontiers.is_some());
    let mut text = String::new();
    let drawn: Drawn = (|| {
        let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT * count as u32)).into_drawing_area();
        root.fill(&PAGE)?;
        let areas = root.split_evenly((count, 1));
        if load {
            draw_load(&areas[0], results)?;
        }
        if let Some(frontiers) = frontiers {
            draw_latency(&areas[count - 1], results, frontiers)?;
        }
        root.present()
    })();
    drawn.expect("a string takes all, and the axes have a range");
    // Behind the first element, which is the picture itself.
    let start = text.find('>').map_or(0, |end| end + 1);
    text.insert_str(start, STYLE);
    text
}

/// The load of each mirror, the highest first, by policy.
fn draw_load(area: &Area, results: &Results) -> Drawn {
    let loads: Vec<Vec<(f64, f64)>> = results.figures[0]
        .iter()
        .map(|figures| {
            let loads = (1..).zip(&figures.sorted_shares);
            let loads = loads.map(|(rank, share)| (f64::from(rank), share * results.demand));
            loads.filter(|(_, load)| *load > 0.0).collect()
        })
        .collect();
    let mirrors = results.figures[0].iter().map(|figures| figures.shares.len()).max().unwrap_or(1);
    let top = decade_above(results.demand);
    let mut chart = ChartBuilder::on(area)
        .caption(results.title("load of each mirror at the worst time of the day"), font(18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((1.0..(mirrors.max(2)) as f64).log_scale(), (top / 1e5..top).log_scale())?;
    mesh(&mut chart, "mirror, the busiest first", "load in Gbit/s")?;
    for (number, (loads, name)) in loads.iter().zip(&results.policies).enumerate() {
        let color = COLORS[number % COLORS.len()];
        let within = loads.iter().filter(|(_, load)| *load >= top / 1e5).copied();
        chart
            .draw_series(LineSeries::new(within.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3)));
        // A mirror that is alone makes no line.
        chart.draw_series(within.take(3).map(|point| Circle::new(point, 3, color.filled())))?;
    }
    legend(&mut chart)
}

/// The mean latency and the share of the busiest mirror of each policy, and of those on the
/// frontiers.
fn draw_latency(area: &Area, results: &Results, frontiers: &[(String, Results); 2]) -> Drawn {
    let points = |results: &Results| -> Vec<(f64, f64)> {
        results.figures[0].iter().map(|figures| (figures.mean_rtt, 100.0 * figures.busiest_share)).collect()
    };
    let policies = points(results);
    let curves: Vec<_> = frontiers.iter().map(|(name, results)| (name, results, points(results))).collect();
    let all = || curves.iter().flat_map(|(_, _, points)| points).chain(&policies);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (least, most) = (all().map(of).fold(f64::MAX, f64::min), all().map(of).fold(0.0, f64::max));
        least * 0.7..most * 1.5
    };
    let mut chart = ChartBuilder::on(area)
        .caption(results.title("what spreading the load costs in latency"), font(18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(range(|point| point.0).log_scale(), range(|point| point.1).log_scale())?;
    mesh(&mut chart, "mean latency in ms", "share of the busiest mirror in %")?;
    for (number, (name, results, points)) in curves.iter().enumerate() {
        let style = [INK, DIM][number].stroke_width(1);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        // The first ones are close to each other.
        let labels = results.policies.iter().zip(points).skip(3).map(|(label, &point)| {
            let offset = [(8, -12), (-46, 4)][number];
            EmptyElement::at(point) + Text::new(label.clone(), offset, font(12).color(&DIM))
        });
        chart.draw_series(labels)?;
        chart.draw_series(points.iter().map(|&point| Circle::new(point, 2, style.filled())))?;
    }
    for (number, (&point, name)) in policies.iter().zip(&results.policies).enumerate() {
        let color = COLORS[number % COLORS.len()];
        chart
            .draw_series([Circle::new(point, 6, color.filled())])?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 10, y), 6, color.filled()));
    }
    legend(&mut chart)
}

impl Results {
    /// The title of a picture of the first place.
    fn title(&self, what: &str) -> String {
        let worlds =
            if self.worlds > 1 { format!(" (mean of {} worlds)", self.worlds) } else { String::new() };
        format!("{}: {what}{worlds}", self.places[0])
    }
}

fn mesh(chart: &mut Chart, x: &str, y: &str) -> Drawn {
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(font(13))
        .axis_desc_style(font(14))
        .x_label_formatter(&|number| number.to_string())
        .y_label_formatter(&|number| number.to_string())
        .draw()
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(PAGE)
        .border_style(GRID)
        .label_font(font(13))
        .draw()
}

/// The next power of ten.
fn decade_above(number: f64) -> f64 {
    10f64.powf(number.max(1e-6).log10().ceil())
}

fn font(size: i32) -> TextStyle<'static> {
    FontDesc::from(("sans-serif", size)).color(&INK)
}
