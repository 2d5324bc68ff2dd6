mod dev_bucket;
