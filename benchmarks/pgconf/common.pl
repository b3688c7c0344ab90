# perl -e SCRIPT conf|hba FILE prints what PgCommon.pm reads, as JSON.
# perl -e SCRIPT OPERATION FILE SECONDS measures for so long and prints the seconds that one run takes.
use strict;
use warnings;
use JSON::PP;
use PgCommon;
use Time::HiRes 'time';

my ($do, $path, $about) = @ARGV;
my $n = 0;
my %runs = (
	'read postgresql.conf' => sub { my %conf = PgCommon::read_conf_file($path); die 'nothing read' unless %conf },
	'set work_mem there' => sub { PgCommon::set_conffile_value($path, 'work_mem', $n++ % 2 ? '64MB' : '32MB') },
	'read pg_hba.conf' => sub { my @hba = PgCommon::read_pg_hba($path); die 'nothing read' unless @hba },
);
if ($do eq 'conf') {
	my %conf = PgCommon::read_conf_file($path);
	print encode_json(\%conf);
} elsif ($do eq 'hba') {
	my @rules = grep { ($$_{type} // '') ne 'comment' } PgCommon::read_pg_hba($path);
	die 'a line that is no rule' if grep { !defined $$_{type} } @rules;
	print encode_json(\@rules);
} else {
	my $run = $runs{$do};
	$run->();
	my ($count, $began) = (0, time);
	while (time - $began < $about) {
		$run->();
		$count++;
	}
	printf "%.9f\n", (time - $began) / $count;
}
