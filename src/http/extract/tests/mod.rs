mod bodies;
mod queries;
