DROP TABLE events;
DROP TABLE seal_attempts;
DROP TABLE uploads;
