-- compatible: 8
-- +goose Up
-- Releases from before step 8 wrote the exact end of a used value, and deleted single ones. From step 8 on nodes write the end of
-- ten minutes themselves and drop whole partitions: what translated between them goes, at each insert into uses.
DROP TRIGGER exact ON uses;
DROP TRIGGER kept ON uses;
DROP FUNCTION uses_of_before();
